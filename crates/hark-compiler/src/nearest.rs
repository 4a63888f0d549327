//! "Did you mean": the known name that is most like a mistaken one.

/// The known name nearest to `name`, if one is near enough to be meant: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = name.chars().take(LETTERS_MAX).collect();
    let allowed = (letters.len() / 3).max(1);
    let distances = known.into_iter().filter_map(|candidate| {
        let other: Vec<char> = candidate.chars().take(LETTERS_MAX).collect();
        if other.len().abs_diff(letters.len()) > allowed {
            return None;
        }
        let distance = distance(&letters, &other);
        (distance <= allowed).then_some((distance, candidate))
    });
    distances.min().map(|(_, candidate)| candidate)
}

/// Longer names are compared by their beginnings.
const LETTERS_MAX: usize = 64;

/// How many letters must be inserted, deleted, replaced or swapped with their neighbor: the optimal string alignment
/// distance (Damerau 1964).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &letter) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &other) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && letter == right[column - 1] && left[row - 1] == other {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        assert_eq!(nearest("lenght", ["first", "length", "list"]), Some("length"));
        assert_eq!(nearest("frist", ["first", "length"]), Some("first"));
        assert_eq!(nearest("zebra", ["first", "length"]), None);
    }
}
