//! Charts as SVG, for those who like to look; the numbers are elsewhere.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use forecastle::core::Timestamp;
use plotters::coord::Shift;
use plotters::prelude::*;

const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 420;
const COLOURS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(140, 86, 75),
    RGBColor(23, 190, 207),
    RGBColor(127, 127, 127),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One chart of several, drawn below each other.
pub(crate) enum Panel {
    /// Lines over time, and a band where there is one; NaN is a gap.
    Lines {
        title: String,
        times: Vec<Timestamp>,
        lines: Vec<(String, Vec<f64>)>,
        /// A name, lower and upper bounds.
        band: Option<(String, Vec<f64>, Vec<f64>)>,
        logarithmic: bool,
    },
    /// What was promised against what came, with a standard error; the diagonal is the truth.
    Reliability { title: String, points: Vec<ReliabilityPoint> },
}

/// A bin of a reliability table.
pub(crate) struct ReliabilityPoint {
    pub(crate) forecast: f64,
    pub(crate) observed: f64,
    pub(crate) standard_error: f64,
    pub(crate) n: usize,
}

/// Draws the panels into one file.
pub(crate) fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    ensure!(!panels.is_empty(), "there is nothing to plot");
    let height = HEIGHT * u32::try_from(panels.len())?;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    let cannot = |e: &dyn std::fmt::Display| anyhow!("cannot draw {}: {e}", path.display());
    root.fill(&WHITE).map_err(|e| cannot(&e))?;
    for (panel, area) in panels.iter().zip(root.split_evenly((panels.len(), 1))) {
        match panel {
            Panel::Lines { title, times, lines, band, logarithmic } => {
                draw_lines(&area, title, times, lines, band.as_ref(), *logarithmic)
            }
            Panel::Reliability { title, points } => draw_reliability(&area, title, points),
        }
        .map_err(|e| cannot(&e))?;
    }
    root.present().map_err(|e| cannot(&e))
}

/// The smallest range with all finite values, never empty.
fn range<'a>(values: impl Iterator<Item = &'a f64>) -> Range<f64> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = (0.03 * (high - low)).max(1e-9 * high.abs()).max(1e-9);
    low - margin..high + margin
}

fn draw_lines(
    area: &Area<'_>,
    title: &str,
    times: &[Timestamp],
    lines: &[(String, Vec<f64>)],
    band: Option<&(String, Vec<f64>, Vec<f64>)>,
    logarithmic: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let shown = |v: f64| if logarithmic { v.log10() } else { v };
    let bounds = band.iter().flat_map(|(_, low, high)| low.iter().chain(high.iter()));
    let all: Vec<f64> =
        lines.iter().flat_map(|(_, line)| line).chain(bounds).map(|v| shown(*v)).collect();
    let columns = 0.0..times.len().max(2) as f64 - 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(84)
        .build_cartesian_2d(columns, range(all.iter()))?;
    let time = |x: &f64| {
        let index = (x.round().max(0.0) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or_else(String::new, |t| t.to_string().chars().take(16).collect())
    };
    let label = |y: &f64| {
        let value = if logarithmic { 10_f64.powf(*y) } else { *y };
        let digits = (5.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 10.0) as usize;
        format!("{value:.digits$}")
    };
    chart
        .configure_mesh()
        .x_labels(8)
        .x_label_formatter(&time)
        .y_label_formatter(&label)
        .light_line_style(WHITE)
        .draw()?;
    if let Some((name, low, high)) = band {
        let colour = COLOURS[7].mix(0.25);
        let inside: Vec<(f64, f64, f64)> = low
            .iter()
            .zip(high)
            .enumerate()
            .filter(|(_, (low, high))| low.is_finite() && high.is_finite())
            .map(|(i, (low, high))| (i as f64, shown(*low), shown(*high)))
            .collect();
        let there = inside.iter().map(|(x, low, _)| (*x, *low));
        let back = inside.iter().rev().map(|(x, _, high)| (*x, *high));
        let outline: Vec<(f64, f64)> = there.chain(back).collect();
        chart
            .draw_series([Polygon::new(outline, colour)])?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], colour.filled()));
    }
    for ((name, line), colour) in lines.iter().zip(COLOURS.iter().cycle().copied()) {
        let points = line.iter().enumerate().map(|(i, v)| (i as f64, shown(*v)));
        // A gap ends a piece of the line.
        let pieces: Vec<Vec<(f64, f64)>> = points.fold(vec![vec![]], |mut pieces, point| {
            if !point.1.is_finite() {
                pieces.push(vec![]);
            } else if let Some(last) = pieces.last_mut() {
                last.push(point);
            }
            pieces
        });
        let mut named = false;
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let drawn = chart.draw_series(LineSeries::new(piece, &colour))?;
            if !named {
                drawn
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
                named = true;
            }
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn draw_reliability(
    area: &Area<'_>,
    title: &str,
    points: &[ReliabilityPoint],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(0.4..1.0, 0.3..1.0)?;
    let share = |v: &f64| format!("{:.0} %", 100.0 * v);
    chart
        .configure_mesh()
        .x_desc("confidence")
        .y_desc("share that came right")
        .x_label_formatter(&share)
        .y_label_formatter(&share)
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series(LineSeries::new([(0.4, 0.4), (1.0, 1.0)], &BLACK.mix(0.4)))?;
    let colour = COLOURS[0];
    for point in points {
        let (x, y, error) = (point.forecast, point.observed, point.standard_error);
        chart.draw_series([PathElement::new([(x, y - error), (x, y + error)], colour.mix(0.6))])?;
        chart.draw_series([Circle::new((x, y), 4, colour.filled())])?;
        let rows = format!("{} rows", point.n);
        chart.draw_series([Text::new(rows, (x + 0.005, y), ("sans-serif", 13))])?;
    }
    Ok(())
}
