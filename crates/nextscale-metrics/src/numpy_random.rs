//! numpy's `RandomState`, as far as the reference implementations use it to shuffle.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// The Mersenne Twister MT19937 (Matsumoto & Nishimura, 1998), seeded and read as numpy's legacy
/// `RandomState` does.
///
/// torch-fidelity draws KID's subsets and the Inception Score's splits with it: with the same generator, the
/// same features give the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct RandomState {
    words: [u32; WORDS],
    next: usize,
}

impl RandomState {
    pub fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for i in 1..WORDS {
            let last = words[i - 1];
            words[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { words, next: WORDS }
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let joined = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % WORDS] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + MIDDLE) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    /// An integer from 0 to `last`, inclusive, by masked rejection.
    fn up_to(&mut self, last: u32) -> u32 {
        let mask = u32::MAX.checked_shr(last.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.word() & mask;
            if value <= last {
                return value;
            }
        }
    }

    /// `permutation(n)`: 0 to n - 1 in random order.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.up_to(i) as usize);
        }
        order
    }

    /// `choice(n, size, replace=False)`: `size` different numbers below n.
    pub fn choice(&mut self, n: u32, size: usize) -> Vec<u32> {
        let mut order = self.permutation(n);
        order.truncate(size);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From numpy 2.4.6.
    #[test]
    fn draws_what_numpy_draws() {
        let mut state = RandomState::new(2020);
        assert_eq!(state.permutation(10), [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]);
        assert_eq!(state.choice(1000, 5), [358, 763, 430, 530, 677]);
        let mut state = RandomState::new(u32::MAX);
        assert_eq!(state.permutation(7), [1, 5, 0, 6, 4, 2, 3]);
        assert_eq!([0; 3].map(|_| state.word()), [3_350_089_942, 3_309_765_114, 77_050_329]);
        assert!(state.permutation(0).is_empty());
    }
}
