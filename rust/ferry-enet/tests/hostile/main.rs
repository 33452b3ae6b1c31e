//! What strangers and hostile peers can do: nothing that panics, grows, or harms anybody else's connection.

mod interpreters;
