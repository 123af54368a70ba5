//! Reading the configuration file.
