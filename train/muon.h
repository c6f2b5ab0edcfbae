// Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024): momentum whose matrix is made
// orthogonal, so that a step moves all directions of a weight equally far.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "train/optimizer.h"

namespace mixgrad::train {

struct MuonOptions {
  double lr = 0.02;
  double momentum = 0.95;   // Nesterov's
  double weight_decay = 0;  // decoupled
  int iterations = 5;
  std::array<double, 3> polynomial = {3.4445, -4.7750, 2.0315};  // a, b, c
  double eps = 1e-7;
  // Whether step number `step`, from 1, scales each weight to the norm sqrt(rows) first; empty: none does. Must depend
  // on the number alone.
  std::function<bool(std::int64_t step)> normalises = {};
};

// For parameters of two axes and more, each a matrix W [rows, columns] of its first axis and all others: of a
// convolution's filters [out, kh kw in]. With the gradient G and the velocity V, 0 at first:
//
//   V = momentum V + G;  X = U / (|U| + eps) with U = G + momentum V, transposed if it has more rows than columns
//   iterations times:  A = X X^T;  X = a X + (b A + c A^2) X    (Newton and Schulz: singular values near 1)
//   W *= sqrt(rows) / |W|, where this step normalises;  W = (W - lr X) (1 - lr weight_decay)
//
// Norms are those of all elements (Frobenius). Throws unless momentum, weight_decay and iterations are at least 0.
Rule muon(const MuonOptions& options = {});

}  // namespace mixgrad::train
