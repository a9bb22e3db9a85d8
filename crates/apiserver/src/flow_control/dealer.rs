//! Shuffle sharding: a flow gets a few of a level's queues, and two flows seldom get the same ones.

/// The most queues one flow gets; validation bounds it lower still, by the entropy a hand takes.
const MAX_HAND: usize = 32;

/// The queues of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hand {
    cards: [usize; MAX_HAND],
    size: usize,
}

impl Hand {
    /// Deals `size` different numbers below `deck`, all hands being equally likely over all hashes.
    pub fn deal(mut hash: u64, deck: usize, size: usize) -> Self {
        let mut hand = Self { cards: [0; MAX_HAND], size: size.min(deck).min(MAX_HAND) };
        // What was dealt so far, in ascending order.
        let mut taken = [0; MAX_HAND];
        for dealt in 0..hand.size {
            let left = (deck - dealt) as u64;
            let mut card = (hash % left) as usize;
            hash /= left;
            // The number says which of the cards that are left: step over those that are not.
            let mut place = 0;
            while place < dealt && taken[place] <= card {
                card += 1;
                place += 1;
            }
            taken.copy_within(place..dealt, place + 1);
            taken[place] = card;
            hand.cards[dealt] = card;
        }
        hand
    }

    /// The queues.
    pub fn cards(&self) -> &[usize] {
        &self.cards[..self.size]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hands_hold_different_cards_and_every_hand_can_come() {
        let all: BTreeSet<Vec<usize>> = (0..5 * 4 * 3).map(|hash| Hand::deal(hash, 5, 3).cards().to_vec()).collect();
        assert_eq!(all.len(), 60, "every ordered hand comes once");
        for hand in all {
            assert_eq!(hand.iter().collect::<BTreeSet<_>>().len(), 3, "{hand:?}");
            assert!(hand.iter().all(|card| *card < 5));
        }
        assert_eq!(Hand::deal(7, 2, 8).cards().len(), 2, "no more cards than there are");
    }
}
