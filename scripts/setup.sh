# Sourced by the other scripts: go to the checkout and make its virtual environment ready.
# `prepare_environment EXTRA` installs srzoo with one of its extras; nothing is installed again while the checkout
# stays where it is and its requirements stay the same. PYTHON chooses the interpreter that makes a new environment.

# With CDPATH set, `cd scripts/..` may end in another project's scripts folder.
unset CDPATH
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 1
# Without a PATH bash searches a default one, which the programs that it starts do not get.
export PATH

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        # Debian and Ubuntu have interpreters without ensurepip, which cannot make an environment.
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 to 3.13 with venv found; install one (on Debian and Ubuntu also python3-venv)," \
        "or name it: PYTHON=/path/to/python bash $0" >&2
    return 1
}

# A checkout that was moved or copied installs again: its environment would still import the old place.
environment_stamp() {
    { pwd -P && cat requirements.txt setup.py; } | cksum
}

prepare_environment() {
    local extra=$1 wanted stamp python
    wanted=$(environment_stamp)
    stamp=".venv/srzoo-$extra.installed"
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        echo "making .venv with $("$python" --version)"
        "$python" -m venv .venv || exit 1
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing srzoo[$extra] into .venv (PyTorch is large: some minutes the first time)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e ".[$extra]" || exit 1
        echo "$wanted" > "$stamp"
    fi
}
