"""Options of layers that change nothing at inference, or only repeat what arrays and shapes say. Any other is refused, unless a rule takes it."""

from __future__ import annotations

# of any kind
IGNORED = frozenset(
    "name trainable dtype batch_shape batch_input_shape build_config build_input_shape seed units filters rank input_shape input_dtype "
    "kernel_size depth_multiplier "
    "input_length implementation momentum renorm renorm_clipping renorm_momentum synchronized virtual_batch_size autocast "
    "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer kernel_constraint bias_constraint "
    "depthwise_initializer depthwise_regularizer depthwise_constraint pointwise_initializer pointwise_regularizer pointwise_constraint "
    "recurrent_initializer recurrent_regularizer recurrent_constraint embeddings_initializer embeddings_regularizer embeddings_constraint "
    "beta_initializer gamma_initializer moving_mean_initializer moving_variance_initializer beta_regularizer gamma_regularizer "
    "beta_constraint gamma_constraint alpha_initializer alpha_regularizer alpha_constraint unit_forget_bias use_bias unroll "
    "dropout recurrent_dropout sparse ragged optional layers lora_rank lora_alpha quantization_config shared_object_id "
    "function out_type validate_indices query_shape key_shape value_shape".split()
)

# of layers that hand on what they get: rates, seeds and strengths of what happens in training
DROPOUT = frozenset("rate noise_shape rng_type force_generator".split())
AUGMENTATION = frozenset(
    "factor x_factor y_factor height_factor width_factor brightness_factor contrast_factor hue_factor saturation_factor addition_factor "
    "threshold_factor value_range bounding_box_format data_format fill_mode fill_value interpolation mode scale sigma alpha all_ops num_ops "
    "num_chains chain_depth rng_type force_generator".split()
)
# States that are kept across calls begin at zero: the graph is that of the first call.
STATES = frozenset(["stateful"])
RECURRENT = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
IGNORED_BY = {
    **dict.fromkeys(RECURRENT, STATES),
    "Bidirectional": STATES,
    "Identity": frozenset(["dynamic"]),
    "ActivityRegularization": frozenset(["l1", "l2"]),
    "StochasticDepth": frozenset(["drop_path_rate"]),
    "GaussianNoise": DROPOUT | {"stddev"},
    **dict.fromkeys(("Dropout", "AlphaDropout", "GaussianDropout"), DROPOUT),
    **{f"SpatialDropout{n}D": DROPOUT | {"data_format"} for n in (1, 2, 3)},
}
