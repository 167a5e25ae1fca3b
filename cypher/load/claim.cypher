// A claim on a name: the node is never committed, so nobody sees it, but the constraint makes a second claim wait until this transaction ends.
// $claim STRING  a text that no model can have as its name

CREATE (:Model {name: $claim})
