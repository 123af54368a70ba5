//! The scales of what goes into a model and of what comes out.

/// A linear scale of one feature or of a model's output, as scikit-learn's `MinMaxScaler` keeps it for each column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaler {
    /// Factor, `scale_` of the column. Not zero.
    pub scale: f64,
    /// What is added then, `min_` of the column.
    pub min: f64,
}

impl Scaler {
    /// From the units of the world to those of the model.
    pub fn transform(&self, value: f64) -> f64 {
        value * self.scale + self.min
    }

    /// From the units of the model to those of the world.
    pub fn inverse(&self, value: f64) -> f64 {
        (value - self.min) / self.scale
    }
}
