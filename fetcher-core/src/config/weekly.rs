//! Moments that come every week or every day: `Mon 06:00`, `06:00`, `Mon,Thu 06:00`, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Moments that come every week or every day, in UTC.
///
/// ```
/// use fetcher_core::config::WeeklySchedule;
/// let schedule: WeeklySchedule = "Mon 06:00".parse()?;
/// let wednesday = "2026-11-25T12:00:00Z".parse().expect("a time");
/// assert_eq!(schedule.last_before(wednesday).to_string(), "2026-11-23T06:00:00Z");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeeklySchedule {
    /// The days; none for all.
    days: Vec<Weekday>,
    time: Time,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl WeeklySchedule {
    /// The last of the moments that is not after `now`.
    pub fn last_before(&self, now: Timestamp) -> Timestamp {
        let today = TimeZone::UTC.to_datetime(now).date();
        let at = |back: i64| {
            let day = today.checked_sub(back.days()).ok()?;
            let moment = TimeZone::UTC.to_timestamp(day.to_datetime(self.time)).ok()?;
            let wanted = self.days.is_empty() || self.days.contains(&day.weekday());
            (wanted && moment <= now).then_some(moment)
        };
        (0..=7).find_map(at).unwrap_or(Timestamp::MIN)
    }
}

impl FromStr for WeeklySchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (days, time) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
        let time = time.strip_suffix("UTC").unwrap_or(time);
        let time = time.split_once(':').and_then(|(hour, minute)| {
            let two = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok())?;
            Time::new(two(hour)?, two(minute)?, 0, 0).ok()
        });
        let day = |name: &str| DAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, day)| *day);
        let days: Option<Vec<_>> = days.split(',').map(str::trim).filter(|name| !name.is_empty()).map(day).collect();
        match (days, time) {
            (Some(days), Some(time)) => Ok(Self { days, time }),
            _ => Err("it is neither a time of day (06:00) nor one with days (Mon,Thu 06:00)".to_owned()),
        }
    }
}

impl fmt::Display for WeeklySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: &Weekday| DAYS.iter().find(|(_, known)| known == day).map_or("", |(name, _)| *name);
        let days: Vec<_> = self.days.iter().map(name).collect();
        let space = if days.is_empty() { "" } else { " " };
        write!(f, "{}{space}{:02}:{:02}", days.join(","), self.time.hour(), self.time.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moment_is_found_across_days_and_weeks() {
        let last = |schedule: &str, now: &str| {
            let schedule: WeeklySchedule = schedule.parse().unwrap();
            schedule.last_before(now.parse().unwrap()).to_string()
        };
        // A Wednesday.
        assert_eq!(last("Wed 12:00", "2026-11-25T12:00:00Z"), "2026-11-25T12:00:00Z");
        assert_eq!(last("Wed 12:01", "2026-11-25T12:00:00Z"), "2026-11-18T12:01:00Z");
        assert_eq!(last("Mon,Tue 06:00", "2026-11-25T12:00:00Z"), "2026-11-24T06:00:00Z");
        assert_eq!(last("13:00", "2026-11-25T12:00:00Z"), "2026-11-24T13:00:00Z");
        for bad in ["", "6:00", "Mon", "Foo 06:00", "25:00", "Mon 06:60", "Mon 06:00 x"] {
            assert!(bad.parse::<WeeklySchedule>().is_err(), "{bad}");
        }
        assert_eq!("mon, thu 06:00".parse::<WeeklySchedule>().unwrap().to_string(), "Mon,Thu 06:00");
    }
}
