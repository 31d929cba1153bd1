//! `forecastle-regime` alone: where a close stands, from its VWAP and σ.
#![allow(clippy::print_stdout, reason = "an example prints")]

use forecastle::regime::MarketState;

fn main() {
    let (vwap, sigma) = (100.0, 2.0);
    for close in [100.0, 101.0, 102.5, 105.0, 95.0] {
        let z = (close - vwap) / sigma;
        match MarketState::new(close, vwap, z) {
            Some(MarketState { regime, strength, direction, .. }) => {
                println!(
                    "close {close:>6}: z {z:+.2}, {regime}, {direction}, strength {strength:.2}"
                );
            }
            None => println!("close {close:>6}: not ready"),
        }
    }
}
