// The loops of a mix of pairs on the CPU (private: for the .cpp of a mix; augment/pair_mix.cuh is for its .cu).
//
// A mix combines two numbers by its Rows, one definition for both devices:
//
//   Rows::whole     whether the place of a number does not matter
//   rows(n)         how sample n is combined: a function of (a, b, line, i) for numbers a of the sample and b of its
//                   partner in a line of the image, i in the line of W * channels numbers
#pragma once

#include "augment/pair_mix.h"
#include "core/parallel.h"
#include "data/gather_images.h"

namespace mixgrad::kernels {

// How many lines there are in a sample [N, H, W, C], and how long they are; a whole sample is a single line.
struct Lines {
  Lines(const Shape& shape, bool whole)
      : count(whole ? 1 : shape[1]), length(whole ? shape.product(1, shape.rank()) : shape[2] * shape[3]) {}
  std::int64_t count, length;
};

// x = rows(n)(own, other), and the labels. Samples in memory have elements of type T, images that are stored are grey
// or coloured bytes, read as numbers from 0 to 1.
template <class T, class Rows>
void combine_pairs(Cpu, const augment::Pairs& pairs, const Rows& rows) {
  if (const data::LabelledImages* stored = pairs.stored) {
    gather_labels(stored->labels, pairs.own, pairs.y);
    gather_labels(stored->labels, pairs.other, pairs.partner);
    const auto own = images_of(*stored, pairs.own);
    const auto other = images_of(*stored, pairs.other);  // nvcc takes one function to a line
    const Lines lines(stored->images.shape(), Rows::whole);
    return fill_images(*stored, pairs.x, lines.count, [=](std::int64_t n, std::int64_t line) {
      const std::int64_t first = line * lines.length;
      return [a = own(n) + first, b = other(n) + first, combine = rows(n), line](std::int64_t i) {
        return static_cast<float>(combine(T{grey(a[i])}, T{grey(b[i])}, line, i));
      };
    });
  }
  constexpr std::int64_t grain = std::int64_t{1} << 15;  // elements per range
  const Lines lines(pairs.x.shape(), Rows::whole);
  const T *a = pairs.own.data<T>(), *b = pairs.other.data<T>();
  T* to = pairs.x.mutable_data<T>();
  const std::int64_t samples = pairs.x.size(0), sample = lines.count * lines.length;
  parallel_for(samples, rows_per_range(sample, grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto combine = rows(n);
      for (std::int64_t line = 0; line < lines.count; ++line) {
        const std::int64_t first = (n * lines.count + line) * lines.length;
        for (std::int64_t i = 0; i < lines.length; ++i) to[first + i] = combine(a[first + i], b[first + i], line, i);
      }
    }
  });
}

}  // namespace mixgrad::kernels
