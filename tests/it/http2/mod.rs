//! HTTP/2 as an attacker or a broken client speaks it, frame by frame.

mod deadlines;
mod decent;
mod floods;
mod rules;

use serde_json::Value;

use crate::kit::TwoSites;
use crate::kit::proxy::log_line;

/// The line of a connection that was ended for this reason, and the count of such ends.
async fn is_told(street: &TwoSites, reason: &str, count: f64) -> Value {
    let is_it = |line: &Value| line["event"] == "connection" && line["error.type"] == reason;
    let line = log_line(&street.site, reason, is_it).await;
    is_counted(street, reason, count).await;
    line
}

async fn is_counted(street: &TwoSites, reason: &str, count: f64) {
    let labels = [("virtual_service", "shop"), ("reason", reason)];
    street.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, count).await;
}
