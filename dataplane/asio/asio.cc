// SPDX-License-Identifier: BSD-3-Clause
//
// The body of Boost.Asio, compiled once for everybody.
#include <boost/asio/impl/src.hpp>
