//! The exchange records against recorded cases, where a folder of them stands beside the checkout.

use crate::conformance::check_folder;
use crate::shared::shared;

/// Most cases in which the cases themselves may be wrong.
const MOST_KNOWN_DIFFERENCES: usize = 15;

#[test]
fn every_exchange_asks_and_reads_as_its_recorded_cases_do() {
    let Some(cases) = shared("exchanges/cases") else { return };
    let total = check_folder(&cases, None, false).unwrap();
    assert_eq!(total.failed, 0, "{}", total.failures.join("\n"));
    assert!(total.known <= MOST_KNOWN_DIFFERENCES, "{} known differences", total.known);
    assert_eq!((total.whole, total.exchanges), (90, 90));
    assert!(total.passed > 1_000, "{}", total.passed);
    assert!(total.reasons.len() <= total.known && total.reasons.iter().all(|r| r.len() > 20));
}

#[test]
fn a_case_that_differs_is_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let request = |symbol: &str, url: &str| {
        format!(
            r#"{{"symbol": "{symbol}", "market_id": "BTC-EUR", "type": "spot", "timeframe": "1h",
                "since": null, "limit": 5, "expect": {{"method": "GET", "url": "{url}"}}}}"#
        )
    };
    let url = "https://api.bitvavo.com/v2/BTC-EUR/candles?limit=5&interval=1h";
    let requests =
        [request("BTC/EUR", url), request("BTC/EUR", &url.replace("limit=5", "limit=6"))];
    let response = |close: f64| {
        format!(
            r#"{{"symbol": "BTC/EUR", "market_id": "BTC-EUR", "type": "spot", "timeframe": "1h",
                "since": null, "limit": null, "body": [[3600000, "1", "3", "1", "2", "5"]],
                "expect": [[3600000, 1, 3, 1, {close}, 5]]}}"#
        )
    };
    let cases = format!(
        r#"{{"id": "bitvavo", "clock_ms": 1749990896000, "requests": [{}],
            "responses": [{}, {}]}}"#,
        requests.join(","),
        response(2.0),
        response(2.5)
    );
    std::fs::write(folder.path().join("bitvavo.json"), cases).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no cases").unwrap();
    let total = check_folder(folder.path(), None, false).unwrap();
    assert_eq!((total.passed, total.failed, total.known), (2, 2, 0));
    assert_eq!((total.whole, total.exchanges), (0, 1));
    let told = total.failures.join("\n");
    assert!(told.contains("limit=6") && told.contains("row 0"), "{told}");
    assert_eq!(check_folder(folder.path(), Some("kraken"), false).unwrap().exchanges, 0);
    let empty = tempfile::tempdir().unwrap();
    assert!(check_folder(empty.path(), None, false).is_err());
}
