// Neurons, each cell a part of one layer's in the order of their ids.
// $model STRING   model name
// $cells LIST     maps: begin (first id), place (of the first one in its layer), count, shape, strides, channel (of the layer: which of its axes
//                 holds the channels, null where none does), layer, label, op, activation, bias (vectors of at most 4,096, NaN where there is none; no vectors where no neuron has one)

UNWIND $cells AS cell
WITH cell, [v IN cell.bias | toFloatList(v)] AS biases
UNWIND range(0, cell.count - 1) AS i
WITH cell, i, biases[i / 4096][i % 4096] AS bias, [d IN range(0, size(cell.shape) - 1) | (cell.place + i) / cell.strides[d] % cell.shape[d]] AS index
CREATE (n:Neuron:$(cell.label) {
  id: cell.begin + i,
  name: cell.layer + CASE size(index) WHEN 0 THEN '/0' ELSE reduce(t = '', d IN range(0, size(index) - 1) | t + CASE d WHEN 0 THEN '/' ELSE ',' END + index[d]) END,
  model: $model, layer: cell.layer, index: index, channel: index[cell.channel], op: cell.op, bias: CASE WHEN NOT isNaN(bias) THEN bias END,
  activation: cell.activation
})
