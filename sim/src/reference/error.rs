/// Why a file of the reference's simulators could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not the JSON that it should be.
    #[error(
        "the {file} is not as the reference's simulators write it: {source}; give the file unchanged"
    )]
    Json {
        /// Which file.
        file: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// JSON of the right shape that does not hold together.
    #[error("the {file} does not hold together: {what}; give the file unchanged")]
    Inconsistent {
        /// Which file.
        file: &'static str,
        /// What is wrong and where.
        what: String,
    },
    /// A model's text.
    #[error("the model {name}: {source}")]
    Model {
        /// Which model.
        name: &'static str,
        /// What is wrong with it.
        source: dfaas_protocol::estimate::lightgbm::ModelError,
    },
}

impl ImportError {
    pub(crate) fn json(file: &'static str) -> impl Fn(serde_json::Error) -> ImportError {
        move |source| ImportError::Json { file, source }
    }

    pub(crate) fn inconsistent(file: &'static str, what: impl Into<String>) -> ImportError {
        ImportError::Inconsistent {
            file,
            what: what.into(),
        }
    }
}
