//! "Did you mean": finds the known name most similar to a misspelled one.

/// The known name nearest to `name`, if at most a third of the letters differ. Ties are broken alphabetically.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = name.chars().take(LETTERS_MAX).collect();
    // Any two names of one or two letters would be similar.
    let allowed = letters.len() / 3;
    if allowed == 0 {
        return None;
    }
    let (length, mask) = (letters.len(), letter_mask(name));
    let mut other: Vec<char> = Vec::new();
    let distances = known.into_iter().filter_map(|candidate| {
        // Two cheap tests exclude most names.
        if candidate.chars().take(LETTERS_MAX).count().abs_diff(length) > allowed
            || (letter_mask(candidate) ^ mask).count_ones() as usize > 2 * allowed
        {
            return None;
        }
        other.clear();
        other.extend(candidate.chars().take(LETTERS_MAX));
        let distance = distance(&letters, &other);
        (distance <= allowed).then_some((distance, candidate))
    });
    distances.min().map(|(_, candidate)| candidate)
}

/// Only this many letters of a name are compared.
const LETTERS_MAX: usize = 64;

/// A bit for each letter that occurs. Changing a letter changes at most two bits.
fn letter_mask(name: &str) -> u64 {
    name.chars().take(LETTERS_MAX).fold(0, |mask, letter| mask | 1 << (letter as u32 % 64))
}

/// The number of insertions, deletions, replacements and swaps of neighbors between two names: the optimal string
/// alignment distance (Damerau 1964).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut line: Vec<usize> = vec![0; right.len() + 1];
    for (row, &letter) in left.iter().enumerate() {
        line[0] = row + 1;
        for (column, &other) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && letter == right[column - 1] && left[row - 1] == other {
                best = best.min(before[column - 1] + 1);
            }
            line[column + 1] = best;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut line);
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
        assert_eq!(nearest("lengt", ["first", "length"]), Some("length"));
        assert_eq!(nearest("parse_floats", ["parse_float"]), Some("parse_float"));
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("zebra", ["first", "length"]), None);
        assert_eq!(nearest("", []), None);
    }

    #[test]
    fn distances_are_right() {
        let between =
            |left: &str, right: &str| distance(&left.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>());
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("abcd", "acbd"), 1);
        assert_eq!(between("kitten", "sitting"), 3);
    }
}
