//! The closest match to a misspelt name.

/// The candidate most like `name`, unless none is alike.
pub(crate) fn closest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    const ALIKE: f64 = 0.7;
    let wanted = name.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&wanted, &candidate.to_lowercase());
    let best = candidates.map(|candidate| (likeness(candidate), candidate));
    let best = best.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
    (best.0 >= ALIKE).then(|| best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_noise_is_not() {
        let names = ["binance", "bitfinex", "kraken", "krakenfutures"];
        assert_eq!(closest("krakn", names.into_iter()).as_deref(), Some("kraken"));
        assert_eq!(closest("Binanse", names.into_iter()).as_deref(), Some("binance"));
        assert_eq!(closest("zzz", names.into_iter()), None);
    }
}
