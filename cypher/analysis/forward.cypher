// What the model computes for one example
// Runs the graph forward, layer by layer: every neuron applies its activation to the sum, maximum, minimum or product of what its weights bring
// and its bias. What comes out is what the framework predicts, up to rounding.
// $model STRING             model name
// $input LIST OF FLOAT      values of all input neurons, in the order of their ids
// -> output INTEGER         which of the model's outputs
// -> position INTEGER       place in it, in C order
// -> value FLOAT            value
// not with: --layers --granularity --min-weight --top-k --ignore-masks
// about: Neurons
// :param [{model, input}] => {RETURN 'digits_cnn' AS model, [0.0] AS input}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
// the values so far, neuron after neuron, in lists of 4096: only the last of them grows with a layer
WITH m, reduce(forward = [[]], l IN layers | COLLECT {
  WITH COLLECT {
    WITH l, split(replace(l.activation, ')', ''), '(') AS written,
         // where the values of an input layer begin
         reduce(sum = 0, i IN layers | sum + CASE WHEN i.type = 'InputLayer' AND i.position < l.position THEN i.end - i.begin ELSE 0 END) AS before
    WITH l, before, written[0] AS f, [p IN split(coalesce(written[1], ''), ', ') | split(p, '=')] AS told
    WITH l, before, f, head([p IN told WHERE p[0] = 'alpha' | toFloat(p[1])]) AS alpha,
         head([p IN told WHERE p[0] = 'negative_slope' | toFloat(p[1])]) AS slope,
         head([p IN told WHERE p[0] = 'max_value' | toFloat(p[1])]) AS most,
         head([p IN told WHERE p[0] = 'threshold' | toFloat(p[1])]) AS threshold,
         head([p IN told WHERE p[0] = 'default_value' | toFloat(p[1])]) AS below,
         head([p IN told WHERE p[0] = 'b' | toFloat(p[1])]) AS b4,
         head([p IN told WHERE p[0] = 'exponent' | toFloat(p[1])]) AS exponent,
         head([p IN told WHERE p[0] = 'approximate' | p[1]]) = 'True' AS rough
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    WITH *, COLLECT {
      MATCH (b)<-[w:WEIGHT]-(a:Neuron)
      RETURN w.weight * forward[(a.id - m.base) / 4096][(a.id - m.base) % 4096]
    } AS terms
    // added up and compared by hand: Neo4j 5 takes no sum() and no max() in here
    WITH b, before + b.id - l.begin AS place, f, alpha, slope, most, threshold, below, b4, exponent, rough, toFloat(CASE b.op
           WHEN 'sum' THEN coalesce(b.bias, 0.0) + reduce(total = 0.0, x IN terms | total + x)
           WHEN 'max' THEN reduce(top = b.bias, x IN terms | CASE WHEN x <= top THEN top ELSE x END)
           WHEN 'min' THEN reduce(least = b.bias, x IN terms | CASE WHEN x >= least THEN least ELSE x END)
           WHEN 'product' THEN reduce(product = coalesce(b.bias, 1.0), x IN terms | product * x)
         END) AS x
    WITH *, 1 / (1 + exp(-x)) AS sigmoid, 1 - 2 / (exp(2 * x) + 1) AS tanh, CASE WHEN x > 0 THEN x ELSE 0.0 END + log(1 + exp(-abs(x))) AS softplus,
         CASE WHEN x > 3 THEN 1.0 WHEN x < -3 THEN 0.0 ELSE (x + 3) / 6 END AS hard, coalesce(alpha, 1.0) AS alpha1
    RETURN CASE WHEN b.op = 'input' THEN $input[place] ELSE CASE f
      WHEN 'linear' THEN x
      WHEN 'relu' THEN CASE
        WHEN x <= coalesce(threshold, 0.0) THEN coalesce(slope, 0.0) * (x - coalesce(threshold, 0.0))
        WHEN x > most THEN most
        WHEN most IS NOT NULL AND x < 0 THEN 0.0
        ELSE x END
      WHEN 'leaky_relu' THEN CASE WHEN x > 0 THEN x ELSE coalesce(slope, 0.2) * x END
      WHEN 'relu6' THEN CASE WHEN x > 6 THEN 6.0 WHEN x > 0 THEN x ELSE 0.0 END
      WHEN 'elu' THEN CASE WHEN x > 0 THEN x ELSE alpha1 * (exp(x) - 1) END
      WHEN 'celu' THEN CASE WHEN x > 0 THEN x ELSE alpha1 * (exp(x / alpha1) - 1) END
      WHEN 'selu' THEN 1.0507009873554805 * CASE WHEN x > 0 THEN x ELSE 1.6732632423543772 * (exp(x) - 1) END
      WHEN 'gelu' THEN CASE
        WHEN rough THEN x * (1 - 1 / (exp(1.5957691216057308 * (x + 0.044715 * x ^ 3)) + 1))
        WHEN abs(x) > 7 THEN CASE WHEN x > 0 THEN x ELSE 0.0 END
        ELSE x / 2 + abs(x) * exp(-x * x / 2) * 0.3989422804014327
          * reduce(s = [0.0, abs(x)], n IN range(1, 120) | [s[0] + s[1], s[1] * x * x / (2 * n + 1)])[0] END
      WHEN 'softplus' THEN softplus
      WHEN 'softsign' THEN x / (1 + abs(x))
      WHEN 'soft_shrink' THEN CASE WHEN abs(x) > coalesce(threshold, 0.5) THEN x - sign(x) * coalesce(threshold, 0.5) ELSE 0.0 END
      WHEN 'hard_shrink' THEN CASE WHEN abs(x) > coalesce(threshold, 0.5) THEN x ELSE 0.0 END
      WHEN 'tanh_shrink' THEN x - tanh
      WHEN 'threshold' THEN CASE WHEN x > coalesce(threshold, 0.0) THEN x ELSE coalesce(below, 0.0) END
      WHEN 'squareplus' THEN (x + sqrt(x * x + coalesce(b4, 4.0))) / 2
      WHEN 'sparse_plus' THEN CASE WHEN x <= -1 THEN 0.0 WHEN x >= 1 THEN x ELSE (x + 1) ^ 2 / 4 END
      WHEN 'silu' THEN x * sigmoid
      WHEN 'hard_silu' THEN x * hard
      WHEN 'sigmoid' THEN sigmoid
      WHEN 'sparse_sigmoid' THEN CASE WHEN x <= -1 THEN 0.0 WHEN x >= 1 THEN 1.0 ELSE (x + 1) / 2 END
      WHEN 'hard_sigmoid' THEN hard
      WHEN 'log_sigmoid' THEN x - softplus
      WHEN 'tanh' THEN tanh
      WHEN 'hard_tanh' THEN CASE WHEN x > 1 THEN 1.0 WHEN x < -1 THEN -1.0 ELSE x END
      WHEN 'exponential' THEN exp(x)
      WHEN 'mish' THEN x * (1 - 2 / (exp(2 * softplus) + 1))
      WHEN 'sqrt' THEN sqrt(x)
      WHEN 'rsqrt' THEN 1 / sqrt(x)
      WHEN 'reciprocal' THEN 1 / x
      WHEN 'square' THEN x * x
      WHEN 'negative' THEN -x
      WHEN 'log' THEN log(x)
      WHEN 'abs' THEN abs(x)
      WHEN 'sign' THEN toFloat(sign(x))
      WHEN 'step' THEN CASE WHEN x > 0 THEN 1.0 ELSE 0.0 END
      WHEN 'is_zero' THEN CASE WHEN x = 0 THEN 1.0 ELSE 0.0 END
      WHEN 'floor' THEN floor(x)
      WHEN 'ceil' THEN ceil(x)
      WHEN 'round' THEN round(x, 0, 'HALF_EVEN')
      WHEN 'sin' THEN sin(x)
      WHEN 'cos' THEN cos(x)
      WHEN 'arcsin' THEN asin(x)
      WHEN 'arccos' THEN acos(x)
      WHEN 'arctan' THEN atan(x)
      WHEN 'power' THEN x ^ exponent
      WHEN 'erf' THEN CASE
        WHEN abs(x) > 6 THEN toFloat(sign(x))
        ELSE exp(-x * x) * 1.1283791670955126 * reduce(s = [0.0, x], n IN range(1, 160) | [s[0] + s[1], s[1] * 2 * x * x / (2 * n + 1)])[0] END
      WHEN 'softmax' THEN x
      WHEN 'log_softmax' THEN x
    END END ORDER BY b.id
  } AS own, l.activation AS activation, CASE WHEN l.activation IN ['softmax', 'log_softmax'] THEN coalesce(l.shape[-1], 1) END AS wide
  // softmax is over the neurons that share every index but the last: those follow each other
  WITH own, activation, wide, [first IN CASE WHEN wide IS NULL THEN [] ELSE range(0, size(own) - 1, wide) END |
    reduce(top = own[first], x IN own[first..first + wide] | CASE WHEN x > top THEN x ELSE top END)] AS tops
  WITH own, activation, wide, tops, [number IN range(0, size(tops) - 1) |
    reduce(total = 0.0, x IN own[number * wide..(number + 1) * wide] | total + exp(x - tops[number]))] AS totals
  WITH CASE activation
    WHEN 'softmax' THEN [place IN range(0, size(own) - 1) | exp(own[place] - tops[place / wide]) / totals[place / wide]]
    WHEN 'log_softmax' THEN [place IN range(0, size(own) - 1) | own[place] - tops[place / wide] - log(totals[place / wide])]
    ELSE own END AS own
  WITH [x IN forward[-1] + own | x] AS own
  UNWIND forward[..-1] + [i IN range(0, size(own) / 4096) | [x IN own[i * 4096..(i + 1) * 4096] | x]] AS part
  RETURN part
}) AS forward
CALL (m, forward) {
  MATCH (m)-[o:OUTPUT]->(n:Neuron)
  RETURN o.output AS output, o.position AS position, forward[(n.id - m.base) / 4096][(n.id - m.base) % 4096] AS value
  UNION ALL
  // a padded zero that the model returns is no neuron
  UNWIND range(0, size(m.outputSizes) - 1) AS output
  WITH m, output, m.outputSizes[output] AS size, COUNT { (m)-[:OUTPUT {output: output}]->() } AS there
  UNWIND CASE WHEN there < size THEN range(0, size - 1) ELSE [] END AS position
  WITH m, output, position WHERE NOT EXISTS { (m)-[:OUTPUT {output: output, position: position}]->() }
  RETURN output, position, 0.0 AS value
}
RETURN output, position, value
ORDER BY output, position
