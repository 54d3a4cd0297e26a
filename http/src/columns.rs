//! Text in columns, as Go's tabwriter aligns it.

/// Each cell but a row's last is filled with spaces to its column's width: the longest cell, at least `least`, and
/// `padding` behind it.
pub fn aligned(rows: &[Vec<String>], least: usize, padding: usize) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let filled = row.len().saturating_sub(1);
        widths.resize(widths.len().max(filled), least);
        for (width, cell) in widths.iter_mut().zip(&row[..filled]) {
            *width = (*width).max(cell.chars().count() + padding);
        }
    }
    let mut text = String::new();
    for row in rows {
        let Some((last, filled)) = row.split_last() else {
            continue;
        };
        for (cell, width) in filled.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up() {
        let rows: Vec<Vec<String>> = [&["a", "bcd", "x"][..], &["lönger", "", "y"], &["z"]]
            .iter()
            .map(|row| row.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(aligned(&rows, 1, 1), "a      bcd x\nlönger     y\nz\n");
        let empty = vec![
            "DHT wan (0 peers):".to_owned(),
            String::new(),
            String::new(),
            String::new(),
        ];
        assert_eq!(aligned(&[empty], 4, 2), "DHT wan (0 peers):          \n");
    }
}
