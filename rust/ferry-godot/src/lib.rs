//! The library that Godot loads: Ferry's classes, for the engine.

use godot::prelude::*;

struct Ferry;

// SAFETY: the entry point of gdext, made once in this library.
#[gdextension]
unsafe impl ExtensionLibrary for Ferry {}
