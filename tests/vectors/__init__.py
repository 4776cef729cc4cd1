"""The vectors of docs/spec/vectors: how each is made, and that the library reads them."""
