//! What operators see: metric handles, the application log, operational messages.
//!
//! Three rules hold everywhere here. A label value comes from the configuration or from a closed
//! list, never from a client. Nothing on the path of traffic waits: a log that cannot be written is
//! dropped and counted. What a service costs while nobody uses it is a few dozen bytes.
//! Must not know who uses the handles, nor which fields a log line has.

pub mod app_log;
pub mod catalog;
pub mod cells;
pub mod certificate_metrics;
pub mod check_metrics;
pub mod exposition;
pub mod hsm_metrics;
pub mod lazy;
pub mod listener_metrics;
pub mod operational;
pub mod pool_metrics;
pub mod process_metrics;
pub mod recorder;
pub mod reload_metrics;
pub mod service_metrics;
