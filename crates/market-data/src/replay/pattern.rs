//! What a request for one series looks like, and what one that came asks for.

use std::collections::BTreeMap;

use super::slot::{Slots, TimeText};
use crate::exchange::{AnswerShape, Method, Paging};

/// The requests that one endpoint of a record makes for one market and timeframe.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) method: Method,
    pub(super) segments: usize,
    /// What each place of the request carries.
    pub(super) roles: BTreeMap<String, Role>,
    /// Whether rows at the end itself are left out; known when only an end bounds the rows.
    pub(super) end_is_exclusive: bool,
    pub(super) shape: AnswerShape,
}

/// What one place of a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// One of these texts.
    Constant { texts: Vec<String>, required: bool },
    /// The earliest open time wanted, plus `offset` ms.
    Start { spelling: TimeText, offset: i64 },
    /// The latest time wanted, plus `offset` ms.
    End { spelling: TimeText, offset: i64 },
    /// How many rows.
    Count,
    /// Nothing that matters here: the client's clock.
    Free,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// Rows open at this time, in ms, or later.
    pub(super) start: Option<i64>,
    /// Rows open before this time.
    pub(super) end: Option<i64>,
    pub(super) count: Option<usize>,
    /// Whether a whole day or year is asked for, whatever its number of rows.
    pub(super) file: bool,
}

/// Why a pattern does not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// Another method or path.
    Elsewhere,
    /// The path fits, a name in it or in a parameter does not.
    OtherSeries,
    /// A parameter that should be a time or a count is none.
    Unreadable(String),
}

impl Pattern {
    /// What a request asks for, if it is one of these.
    pub(super) fn read(&self, slots: &Slots) -> Result<Asked, Mismatch> {
        if slots.method != self.method || slots.segments != self.segments {
            return Err(Mismatch::Elsewhere);
        }
        let constant_fits = |(place, role): (&String, &Role)| match (role, slots.texts.get(place)) {
            (Role::Constant { texts, .. }, Some(text)) => texts.contains(text),
            (Role::Constant { required, .. }, None) => !required,
            _ => true,
        };
        let in_path = |place: &str| place.starts_with('/');
        if !self.roles.iter().filter(|(place, _)| in_path(place)).all(constant_fits) {
            return Err(Mismatch::Elsewhere);
        }
        if !self.roles.iter().all(constant_fits) {
            return Err(Mismatch::OtherSeries);
        }
        let mut asked = Asked::default();
        for (place, role) in &self.roles {
            let Some(text) = slots.texts.get(place) else { continue };
            let unreadable = || Mismatch::Unreadable(place.clone());
            match role {
                Role::Constant { .. } | Role::Free => {}
                Role::Count => {
                    let count: usize = text.parse().map_err(|_| unreadable())?;
                    asked.count = Some(count);
                }
                Role::Start { spelling, offset } => {
                    let start = spelling.parse(text).ok_or_else(unreadable)?;
                    asked.start = Some(start.saturating_sub(*offset));
                    if spelling.is_file() {
                        asked.end = spelling.end_of_file(text);
                        asked.file = true;
                    }
                }
                Role::End { spelling, offset } => {
                    let end = spelling.parse(text).ok_or_else(unreadable)?;
                    let end = end.saturating_sub(*offset);
                    asked.end = Some(end.saturating_add(i64::from(!self.end_is_exclusive)));
                }
            }
        }
        Ok(asked)
    }

    /// Whether some request of this pattern names a start.
    pub(super) fn has_start(&self) -> bool {
        self.roles.values().any(|role| matches!(role, Role::Start { .. }))
    }

    /// Whether requests name whole days or years.
    pub(super) fn is_by_file(&self) -> bool {
        let by_file =
            |role: &Role| matches!(role, Role::Start { spelling, .. } if spelling.is_file());
        self.roles.values().any(by_file)
    }

    /// Whether an answer cut short is no loss: who asks can see where it ends and go on there.
    pub(super) fn may_be_cut(&self) -> bool {
        match self.shape.paging {
            Paging::Forward => self.has_start() && !self.is_by_file(),
            Paging::Backward => true,
            Paging::Recent => false,
        }
    }
}
