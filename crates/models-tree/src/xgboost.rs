//! XGBoost, where it is installed: its library is loaded at run time.

mod c_api;
mod error;
mod inspect;
mod library;
mod model;
mod params;
mod search;
mod train;
mod ubj;

pub use error::XgboostError;
pub use library::{XgboostLibrary, XgboostVersion};
pub use model::Xgboost;
pub use params::XgboostParams;
pub use search::XgboostSearch;
pub(crate) use search::reason;
