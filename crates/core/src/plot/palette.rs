//! Colours that colour-blind readers can tell apart.

use super::drawing::Color;

/// Okabe & Ito (2008), darkest first; yellow is deepened to show on white.
const SEVEN: [Color; 7] = [
    [0, 114, 178],
    [230, 159, 0],
    [0, 158, 115],
    [213, 94, 0],
    [204, 121, 167],
    [86, 180, 233],
    [214, 196, 20],
];

/// Petroff (2021), "Accessible color sequences for data visualization".
const TEN: [Color; 10] = [
    [63, 144, 218],
    [255, 169, 14],
    [189, 31, 1],
    [148, 164, 162],
    [131, 45, 182],
    [169, 107, 89],
    [231, 99, 0],
    [185, 172, 112],
    [113, 117, 129],
    [146, 218, 221],
];

/// The colour of label `label` among `count` labels, as red, green, blue. Beyond ten, hues are spread by the golden
/// angle at alternating lightness: distinct, but no longer safe for everyone.
pub fn label_color(label: usize, count: usize) -> [u8; 3] {
    match count {
        0..=7 => SEVEN[label % 7],
        8..=10 => TEN[label % 10],
        _ => {
            let hue = (label as f64 * 137.508) % 360.0;
            let (saturation, value) = [(0.75, 0.80), (0.60, 0.60), (0.45, 0.92)][label % 3];
            hsv(hue, saturation, value)
        }
    }
}

fn hsv(hue: f64, saturation: f64, value: f64) -> Color {
    let channel = |offset: f64| {
        let k = (offset + hue / 60.0) % 6.0;
        let level = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (255.0 * level).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// Viridis (Smith & van der Walt 2015) at nine points.
const VIRIDIS: [Color; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// The colour of a value between 0 and 1 on the viridis ramp, as red, green, blue; values beyond are clamped.
pub fn ramp_color(value: f64) -> [u8; 3] {
    // max takes the other operand for NaN, so that the colour is that of the low end.
    let position = value.max(0.0).clamp(0.0, 1.0) * 8.0;
    let below = (position as usize).min(7);
    let share = position - below as f64;
    std::array::from_fn(|c| {
        let (from, to) = (f64::from(VIRIDIS[below][c]), f64::from(VIRIDIS[below + 1][c]));
        (from + share * (to - from)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_have_distinct_colours() {
        for count in 1..=40 {
            let colors: HashSet<Color> = (0..count).map(|label| label_color(label, count)).collect();
            assert_eq!(colors.len(), count);
        }
    }

    #[test]
    fn the_ramp_runs_from_end_to_end() {
        assert_eq!((ramp_color(-1.0), ramp_color(2.0)), (VIRIDIS[0], VIRIDIS[8]));
        assert_eq!(ramp_color(0.5), VIRIDIS[4]);
        assert_eq!(ramp_color(f64::NAN), VIRIDIS[0]);
    }
}
