//! Why an endpoint could not be opened, whatever the transport.

/// Why there is no endpoint.
#[derive(Debug)]
pub enum CreateError {
    /// A setting is out of its range or makes no sense; the text says which, and what it may be.
    Invalid(String),
    /// The port cannot be had.
    Bind(std::io::Error),
}

impl std::fmt::Display for CreateError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(what) => formatter.write_str(what),
            Self::Bind(error) => write!(formatter, "the port cannot be had: {error}"),
        }
    }
}

impl std::error::Error for CreateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Bind(error) => Some(error),
        }
    }
}
