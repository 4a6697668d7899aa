//! Variants of guidance, compared on the same random numbers, with reports.
