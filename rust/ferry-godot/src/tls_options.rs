//! A `TLSOptions` argument that may be left out: gdext takes default values of plain types only.

use godot::classes::TlsOptions;
use godot::meta::conv::ByValue;
use godot::meta::{FromGodot, GodotConvert, GodotImmutable, ToGodot};
use godot::prelude::*;

/// `TLSOptions`, or null.
#[derive(Clone, Debug)]
pub(crate) struct OptionalTlsOptions(Option<Gd<TlsOptions>>);

impl OptionalTlsOptions {
    pub(crate) const NONE: Self = Self(None);
}

impl GodotConvert for OptionalTlsOptions {
    type Via = Option<Gd<TlsOptions>>;

    fn godot_shape() -> godot::meta::shape::GodotShape {
        Self::Via::godot_shape()
    }
}

impl ToGodot for OptionalTlsOptions {
    type Pass = ByValue;

    fn to_godot(&self) -> Self::Via {
        self.0.clone()
    }
}

impl FromGodot for OptionalTlsOptions {
    fn try_from_godot(via: Self::Via) -> Result<Self, ConvertError> {
        Ok(Self(via))
    }
}

// SAFETY: the only default value there is of it is `NONE`, which holds nothing that could be shared.
unsafe impl GodotImmutable for OptionalTlsOptions {}
