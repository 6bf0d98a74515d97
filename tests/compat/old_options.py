"""Option files as users of BasicSR, DRCT and Real-ESRGAN have them, for the tests of their conversion."""

ADAM = {"type": "Adam", "lr": 2e-4, "weight_decay": 0, "betas": [0.9, 0.99]}
PAIRED = {
    "type": "PairedImageDataset",
    "dataroot_gt": "Set5/GT",
    "dataroot_lq": "Set5/LR",
    "io_backend": {"type": "disk"},
}
LOADER = {"use_shuffle": True, "num_worker_per_gpu": 6, "batch_size_per_gpu": 4, "dataset_enlarge_ratio": 10}
METRICS = {
    "psnr": {"type": "calculate_psnr", "crop_border": 4, "test_y_channel": True, "better": "higher"},
    "ssim": {"type": "calculate_ssim", "crop_border": 4, "test_y_channel": False},
}
TRAINING = {
    "name": "101 training",
    "model_type": "SRModel",
    "scale": 4,
    "num_gpu": 8,
    "manual_seed": 10,
    "datasets": {
        "train": {
            **LOADER,
            "name": "DIV2K",
            "type": "PairedImageDataset",
            "dataroot_gt": "DIV2K/HR",
            "dataroot_lq": "DIV2K/LR",
            "filename_tmpl": "{}x4",
            "meta_info_file": "meta.txt",
            "io_backend": {"type": "disk"},
            "gt_size": 192,
            "use_flip": True,
            "use_rot": True,
        },
        "val_1": {"name": "Set5", **PAIRED},
        "val_2": {"name": "Set14", **PAIRED},
    },
    "network_g": {"type": "MSRResNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_block": 16, "upscale": 4},
    "path": {"pretrain_network_g": None, "strict_load_g": True, "resume_state": None},
    "train": {
        "ema_decay": 0.999,
        "optim_g": ADAM,
        "scheduler": {"type": "MultiStepLR", "milestones": [250000, 400000], "gamma": 0.5},
        "total_iter": 500000,
        "warmup_iter": -1,
        "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
    },
    "val": {"val_freq": 5e3, "save_img": False, "pbar": False, "suffix": None, "metrics": METRICS},
    "logger": {
        "print_freq": 100,
        "save_checkpoint_freq": 5e3,
        "use_tb_logger": True,
        "wandb": {"project": None, "resume_id": None},
    },
    "dist_params": {"backend": "nccl", "port": 29500},
}
DRCT = {
    "type": "DRCT", "use_checkpoint": False,
    "upscale": 4, "in_chans": 3, "img_size": 64, "window_size": 16, "compress_ratio": 3,
    "squeeze_factor": 30, "conv_scale": 0.01, "overlap_ratio": 0.5, "img_range": 1.0, "depths": [6, 6],
    "embed_dim": 180, "num_heads": [6, 6], "mlp_ratio": 2, "upsampler": "pixelshuffle", "resi_connection": "1conv",
}  # fmt: skip
EXAMPLE = TRAINING | {"name": "DRCT_x4", "model_type": "DRCTModel", "network_g": DRCT}
KERNELS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
DEGRADATION = {
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95], "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3], "resize_range2": [0.3, 1.2], "gaussian_noise_prob2": 0.5, "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5], "gray_noise_prob2": 0.4, "jpeg_range2": [30, 95], "gt_size": 256,
    "queue_size": 180,
}  # fmt: skip
GT = {
    **LOADER, "type": "RealESRGANDataset", "dataroot_gt": "DF2K", "meta_info": "meta.txt",
    "blur_kernel_size": 21, "kernel_list": KERNELS, "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob": 0.1, "blur_sigma": [0.2, 3], "betag_range": [0.5, 4], "betap_range": [1, 2],
    "blur_kernel_size2": 21, "kernel_list2": KERNELS, "kernel_prob2": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob2": 0.1, "blur_sigma2": [0.2, 1.5], "betag_range2": [0.5, 4], "betap_range2": [1, 2],
    "final_sinc_prob": 0.8, "gt_size": 256, "use_hflip": True, "use_rot": False,
}  # fmt: skip
REAL = {**TRAINING, **DEGRADATION, "num_gpu": "auto", "gt_usm": True, "model_type": "RealESRNetModel"}
REAL["datasets"] = {"train": GT}
REAL["val"] = None
