// Neurons, each part some of one layer's in the order of their ids.
// $model STRING   model name
// $parts LIST     maps: begin (first id), place (of the first one in its layer), count, shape, strides, channel (of the layer: which of its axes
//                 holds the channels, null where none does), layer, label, op, activation, bias (vectors of at most 4,096, NaN where there is none; no vectors where no neuron has one)

UNWIND $parts AS part
WITH part, [v IN part.bias | toFloatList(v)] AS biases
UNWIND range(0, part.count - 1) AS i
WITH part, i, biases[i / 4096][i % 4096] AS bias, [d IN range(0, size(part.shape) - 1) | (part.place + i) / part.strides[d] % part.shape[d]] AS index
CREATE (n:Neuron:$(part.label) {
  id: part.begin + i,
  name: part.layer + CASE size(index) WHEN 0 THEN '/0' ELSE reduce(t = '', d IN range(0, size(index) - 1) | t + CASE d WHEN 0 THEN '/' ELSE ',' END + index[d]) END,
  model: $model, layer: part.layer, index: index, channel: index[part.channel], op: part.op, bias: CASE WHEN NOT isNaN(bias) THEN bias END,
  activation: part.activation
})
