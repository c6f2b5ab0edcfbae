// The numbers that are none.
#pragma once

#include <limits>

namespace mixgrad::test {

template <class T>
inline constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();
template <class T>
inline constexpr T infinity = std::numeric_limits<T>::infinity();

}  // namespace mixgrad::test
