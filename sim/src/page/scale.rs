//! Where values lie on an axis, and which of them are named.

/// How wide a figure is: letters in it are as large as those beside it only where a unit of it is a pixel of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// All of the page.
    Whole,
    /// One of two beside each other.
    Half,
}

impl Room {
    pub(super) const fn width(self) -> f64 {
        match self {
            Room::Whole => 960.0,
            Room::Half => 472.0,
        }
    }
}

/// What the end of an axis is.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A hundred percent, even where the interval of a mean reaches beyond.
    Hundred,
    /// What the largest value needs, and this at least.
    AtLeast(f64),
}

impl End {
    /// Where the largest value is that.
    pub(super) fn of(self, highest: f64) -> f64 {
        match self {
            End::Hundred => 100.0,
            End::AtLeast(least) => highest.max(least),
        }
    }
}

/// An axis from zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// The value at its end.
    pub(super) most: f64,
    /// From one named value to the next.
    step: f64,
}

impl Scale {
    /// An axis on which so much has room, with about so many named values.
    pub(super) fn reaching(most: f64, names: f64) -> Scale {
        let most = if most > 0.0 && most.is_finite() {
            most
        } else {
            1.0
        };
        let rough = most / names;
        let ten = libm::pow(10.0, libm::floor(libm::log10(rough)));
        let factors = [1.0, 2.0, 5.0, 10.0];
        let step = factors.map(|factor| factor * ten);
        let step = step.into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * ten);
        let steps = libm::ceil(most / step - 1e-9);
        Scale {
            most: steps * step,
            step,
        }
    }

    /// The named values, each with what is written there.
    pub(super) fn names(self) -> impl Iterator<Item = (f64, String)> {
        let digits = (-libm::floor(libm::log10(self.step) + 1e-9)).max(0.0) as usize;
        let steps = libm::round(self.most / self.step) as u32;
        (0..=steps).map(move |n| {
            let value = f64::from(n) * self.step;
            (value, format!("{value:.digits$}"))
        })
    }

    /// Where a value lies between the ends of a line.
    pub(super) fn place(self, value: f64, from: f64, to: f64) -> f64 {
        from + (to - from) * (value / self.most).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_values_are_round_and_cover_the_largest() {
        for (most, last) in [
            (97.0, "100"),
            (1.0, "1.0"),
            (0.034, "0.04"),
            (1234.0, "1500"),
        ] {
            let scale = Scale::reaching(most, 4.0);
            let names: Vec<(f64, String)> = scale.names().collect();
            assert!(names.len() <= 6 && scale.most >= most, "{most} {names:?}");
            assert_eq!(names.last().map(|(_, name)| name.as_str()), Some(last));
            assert_eq!(scale.place(scale.most, 0.0, 10.0), 10.0);
        }
    }
}
