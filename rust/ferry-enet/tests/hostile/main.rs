//! What strangers and hostile peers can do: nothing that panics, grows, or harms anybody else's connection.

mod floods;
mod interpreters;
mod malformed_commands;
mod malformed_fragments;
mod scene;
mod spoofed;
