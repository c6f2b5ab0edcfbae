#include "core/shape.h"

#include <algorithm>
#include <ostream>
#include <string>

#include "core/check.h"

namespace mixgrad {

Shape::Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  check(extents.size() <= max_rank, "shape: ", extents.size(), " axes, at most ", max_rank, " are supported");
  for (const std::int64_t extent : extents) {
    check(extent >= 0, "shape: axis ", rank_, " has the negative extent ", extent);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }
  std::int64_t nonzero = 1;  // of the extents that are not zero, so that no partial product overflows later
  for (const std::int64_t extent : extents) {
    const std::int64_t factor = std::max<std::int64_t>(extent, 1);
    check(nonzero <= (std::int64_t{1} << 60) / factor, "shape: ", *this, " has more than 2^60 elements");
    nonzero *= factor;
  }
  numel_ = std::find(extents.begin(), extents.end(), 0) == extents.end() ? nonzero : 0;
}

int Shape::axis(int axis, const char* op) const {
  const int wrapped = axis < 0 ? axis + rank_ : axis;
  check(wrapped >= 0 && wrapped < rank_, op, ": axis ", axis, " is out of range for ", *this);
  return wrapped;
}

Shape Shape::with(int axis, std::int64_t extent) const {
  auto extents = extents_;
  extents[static_cast<std::size_t>(this->axis(axis))] = extent;
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::without(int axis) const {
  auto extents = extents_;
  const auto dropped = extents.begin() + this->axis(axis);
  std::copy(dropped + 1, extents.end(), dropped);
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank_ - 1)));
}

Shape Shape::prepend(std::int64_t extent) const {
  check(rank_ < max_rank, "shape: ", *this, " has no room for another axis");
  std::array<std::int64_t, max_rank> extents{extent};
  std::copy(begin(), end(), extents.begin() + 1);
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank_ + 1)));
}

std::int64_t Shape::product(int first, int last) const {
  std::int64_t result = 1;
  for (int axis = first; axis < last; ++axis) result *= extents_[static_cast<std::size_t>(axis)];
  return result;
}

bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int axis = 0; axis < shape.rank_; ++axis)
    out << (axis ? ", " : "") << std::to_string(shape.extents_[static_cast<std::size_t>(axis)]);
  return out << ']';
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::max_rank> extents{};
  for (int axis = 1; axis <= rank; ++axis) {
    const std::int64_t m = axis <= a.rank() ? a[-axis] : 1;
    const std::int64_t n = axis <= b.rank() ? b[-axis] : 1;
    check(m == n || m == 1 || n == 1, op, ": shapes ", a, " and ", b, " do not broadcast");
    extents[static_cast<std::size_t>(rank - axis)] = m == 1 ? n : m;
  }
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)));
}

}  // namespace mixgrad
