"""Linear maps between square token grids, as matrices in double precision."""
import math

import numpy as np
import torch


def triangle(distance):
    return max(0.0, 1.0 - distance)


def keys(distance, a=-0.75):
    """Keys' cubic kernel, with PyTorch's A."""
    if distance <= 1.0:
        return (a + 2.0) * distance**3 - (a + 3.0) * distance**2 + 1.0
    if distance < 2.0:
        return a * (distance**3 - 5.0 * distance**2 + 8.0 * distance - 4.0)
    return 0.0


def interpolation(n, m, kernel):
    """[m, n]: pixel centres as in PyTorch with align_corners = false, the border repeated."""
    matrix = np.zeros((m, n))
    for row in range(m):
        centre = (row + 0.5) * n / m - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            matrix[row, min(max(tap, 0), n - 1)] += kernel(abs(centre - tap))
    return matrix


def area(n, m):
    """[m, n]: adaptive average pooling; windows overlap where m does not divide n."""
    matrix = np.zeros((m, n))
    for row in range(m):
        first, last = row * n // m, -((-(row + 1) * n) // m)
        matrix[row, first:last] = 1.0 / (last - first)
    return matrix


def cosines(n):
    """[n, n]: the orthonormal DCT-II."""
    frequency, place = np.mgrid[0:n, 0:n]
    matrix = np.sqrt(2.0 / n) * np.cos(np.pi * (place + 0.5) * frequency / n)
    matrix[0] = math.sqrt(1.0 / n)
    return matrix


def dse(n, m):
    """[m², n²]: Discrete Spatial Enhancement over bilinear interpolation, with a low band that keeps amplitudes.

    In the interpolated map's spectrum the first n × n frequencies are replaced by those of the map itself.
    """
    up = interpolation(n, m, triangle)
    back = cosines(m)[:n].T
    low, replaced = back @ cosines(n), back @ back.T @ up
    return np.kron(up, up) + m / n * np.kron(low, low) - np.kron(replaced, replaced)


def both_ways(matrix):
    """[m, n] along rows and columns at once: [m², n²]."""
    return np.kron(matrix, matrix)


def single(matrix):
    """For use: a tensor in f32."""
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
