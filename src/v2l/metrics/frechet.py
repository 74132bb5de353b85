"""Fréchet distance between two sets of network features (the formula behind FID; paper, Table 3)."""

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    |mean_a - mean_b|^2 + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^(1/2)), with unbiased covariances. For centred features A
    and B the last trace is the sum of the singular values of A B^T / sqrt((n_a - 1)(n_b - 1)): no matrix root of a
    rank-deficient product is taken, so fewer items than features cost no precision (they still bias the value upwards).
    a: [n_a, d], b: [n_b, d] finite floats; computed in float64. Raises ValueError on other shapes or fewer than 2 rows.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected [n >= 2, d] features with one d, found {a.shape} and {b.shape}")
    shift = a.mean(axis=0) - b.mean(axis=0)
    factor_a, factor_b = _covariance_factor(a), _covariance_factor(b)
    overlap = np.linalg.norm(factor_a @ factor_b.T, "nuc")
    return float(shift @ shift + (factor_a**2).sum() + (factor_b**2).sum() - 2 * overlap)


def _covariance_factor(features: np.ndarray) -> np.ndarray:
    """R [min(n, d), d] with R^T R = the unbiased covariance."""
    return np.linalg.qr((features - features.mean(axis=0)) / np.sqrt(len(features) - 1), mode="r")
