"""Operators that have no graph, each with the reason."""

from __future__ import annotations

RANDOM = "is random: there is no fixed graph"
DEPENDS = "returns places or sizes that depend on the example: there is no fixed graph"
COMPLEX = "computes with complex numbers, which no neuron holds"
NAMELESS = "is a function that the graph has no name for"

NAMES = {
    RANDOM: "rand randn rand_like randn_like randint randint_like randperm bernoulli normal uniform multinomial native_dropout normal_functional "
    "exponential random rrelu_with_noise poisson fractional_max_pool2d fractional_max_pool3d",
    DEPENDS: "topk argsort msort kthvalue median nanmedian mode quantile nanquantile nonzero nonzero_static unique _unique2 unique_consecutive "
    "unique_dim bincount histc max_unpool2d max_unpool3d",
    COMPLEX: "fft_fft fft_rfft fft_ifft fft_irfft fft_fft2 fft_rfft2 fft_fftn stft istft view_as_complex view_as_real complex polar angle imag",
    NAMELESS: "lgamma digamma erfinv i0 special_i0 special_ndtri polygamma mvlgamma nextafter special_erfcx special_log_ndtr special_bessel_j0 "
    "special_bessel_j1",
}
REFUSED = {name: reason for reason, names in NAMES.items() for name in names.split()}
