# Sourced by the other scripts: go to the checkout and make its virtual environment ready.
# `prepare_environment EXTRA` installs srzoo with one of its extras; nothing is installed again while
# requirements.txt and setup.py are unchanged. PYTHON chooses the interpreter that makes a new environment.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 to 3.13 found; install one, or name it: PYTHON=/path/to/python bash $0" >&2
    return 1
}

prepare_environment() {
    local extra=$1 wanted stamp python
    wanted=$(cat requirements.txt setup.py | cksum)
    stamp=".venv/srzoo-$extra.installed"
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        echo "making .venv with $("$python" --version)"
        "$python" -m venv .venv || exit 1
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing srzoo[$extra] into .venv (PyTorch is large: some minutes the first time)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extra]" || exit 1
        echo "$wanted" > "$stamp"
    fi
}
