use std::path::Path;

use forecastle_core::{
    BoxFuture, Candle, CandleRequest, CandleSeries, CandleSource, Error, RepairReport, Result,
    Timeframe,
};

use crate::{LoadInfo, ReadOptions, Simulator, read_candles};

/// Serves the candles of a series in memory as a [`CandleSource`]: a replay.
///
/// It answers at once, so its futures are ready when they are made.
///
/// # Examples
/// ```
/// use forecastle_core::{CandleRequest, CandleSource};
/// use forecastle_market_data::{SeriesSource, Simulator, SimulatorParams};
///
/// let simulator = Simulator::new(SimulatorParams { n: 100, ..Default::default() })?;
/// let source = SeriesSource::simulated(&simulator)?;
/// let series = source.series();
/// let newest = CandleRequest::new(series.symbol().clone(), series.timeframe()).limit(10);
/// let page = source.page(&newest)?;
/// assert_eq!(page.last(), series.view().candle(99).as_ref());
/// assert_eq!(page.len(), 10);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSource {
    id: String,
    series: CandleSeries,
    timeframes: [Timeframe; 1],
    page_limit: usize,
}

impl SeriesSource {
    /// Makes a source of a series, under a name.
    pub fn new(id: impl Into<String>, series: CandleSeries) -> Self {
        let timeframes = [series.timeframe()];
        Self { id: id.into(), series, timeframes, page_limit: usize::MAX }
    }

    /// Makes a source of simulated candles, named `simulator`.
    ///
    /// # Errors
    /// Those of [`Simulator::series`].
    pub fn simulated(simulator: &Simulator) -> Result<Self> {
        Ok(Self::new("simulator", simulator.series()?))
    }

    /// This source with at most so many candles in a page, as exchanges do it.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] when `page_limit` is 0.
    pub fn with_page_limit(self, page_limit: usize) -> Result<Self> {
        if page_limit == 0 {
            return Err(Error::invalid_parameter("page_limit", ">= 1", page_limit));
        }
        Ok(Self { page_limit, ..self })
    }

    /// All its candles.
    pub fn series(&self) -> &CandleSeries {
        &self.series
    }

    /// One page, without a future.
    ///
    /// # Errors
    /// - [`Error::InvalidParameter`] for another symbol or timeframe than the series has.
    pub fn page(&self, request: &CandleRequest) -> Result<Vec<Candle>> {
        let (symbol, timeframe) = (self.series.symbol(), self.series.timeframe());
        if request.symbol != *symbol {
            return Err(Error::invalid_parameter("symbol", symbol.to_string(), &request.symbol));
        }
        if request.timeframe != timeframe {
            let requirement = timeframe.to_string();
            return Err(Error::invalid_parameter("timeframe", requirement, request.timeframe));
        }
        let view = self.series.view();
        let times = view.open_time();
        let first = |bound| times.partition_point(|time| *time < bound);
        let limit = request.limit.unwrap_or(usize::MAX).min(self.page_limit);
        let end = request.until.map_or(times.len(), first);
        let (start, end) = match request.since.map(first) {
            Some(start) => (start, end.min(start.saturating_add(limit))),
            None => (end.saturating_sub(limit), end),
        };
        Ok(view.slice(start..end).iter().collect())
    }
}

impl CandleSource for SeriesSource {
    fn id(&self) -> &str {
        &self.id
    }

    fn timeframes(&self) -> &[Timeframe] {
        &self.timeframes
    }

    fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
        Box::pin(std::future::ready(self.page(request)))
    }
}

/// Serves the candles of a file as a [`CandleSource`], named by its path.
///
/// The file is read once, when the source is opened.
///
/// # Examples
/// ```no_run
/// use forecastle_market_data::{FileSource, ReadOptions};
///
/// let source = FileSource::open("BTCUSDT-1h.parquet", &ReadOptions::default())?;
/// println!("{} rows repaired: {:?}", source.series().len(), source.report());
/// # Ok::<(), forecastle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    candles: SeriesSource,
    report: RepairReport,
    info: LoadInfo,
}

impl FileSource {
    /// Reads a file and makes a source of it.
    ///
    /// # Errors
    /// Those of [`read_candles`].
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let loaded = read_candles(path, options)?;
        let candles = SeriesSource::new(loaded.info.origin.clone(), loaded.series);
        Ok(Self { candles, report: loaded.report, info: loaded.info })
    }

    /// All its candles.
    pub fn series(&self) -> &CandleSeries {
        self.candles.series()
    }

    /// What was repaired in the file.
    pub fn report(&self) -> &RepairReport {
        &self.report
    }

    /// How the file was understood.
    pub fn info(&self) -> &LoadInfo {
        &self.info
    }
}

impl CandleSource for FileSource {
    fn id(&self) -> &str {
        self.candles.id()
    }

    fn timeframes(&self) -> &[Timeframe] {
        self.candles.timeframes()
    }

    fn fetch<'a>(&'a self, request: &'a CandleRequest) -> BoxFuture<'a, Result<Vec<Candle>>> {
        self.candles.fetch(request)
    }
}
