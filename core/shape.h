// Shape: the extents of a dense, row-major tensor. A plain value of at most six axes, no heap.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>

namespace mixgrad {

class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;  // rank 0: a scalar, one element
  // Throws when an extent is negative, there are more than max_rank, or the product of those that are not 0 exceeds
  // 2^60: so sums of extents and byte counts fit in 63 bits.
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  std::int64_t numel() const { return numel_; }
  // The extent of an axis; a negative axis counts from the end. Throws if there is no such axis.
  std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(this->axis(axis))]; }
  // An axis in -rank..rank-1 as 0..rank-1. Throws "op: axis 5 is out of range for [2, 3]".
  int axis(int axis, const char* op = "shape") const;

  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }

  Shape with(int axis, std::int64_t extent) const;  // one extent replaced
  Shape without(int axis) const;                    // one axis dropped
  Shape prepend(std::int64_t extent) const;         // with a new leading axis
  std::int64_t product(int first, int last) const;  // of the extents of axes [first, last)

  friend bool operator==(const Shape& a, const Shape& b);
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape);  // [64, 28, 28, 3]

 private:
  std::array<std::int64_t, max_rank> extents_{};
  std::int64_t numel_ = 1;
  int rank_ = 0;
};

// The NumPy broadcast of two shapes: aligned at the last axis, extents equal or one of them 1.
// Throws "op: shapes [2, 3] and [4] do not broadcast".
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace mixgrad
