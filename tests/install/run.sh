#!/usr/bin/env bash
# run.sh BUILD_DIR CC: what BUILD_DIR installs serves a program outside the tree,
# through find_package and through pkg-config.
set -eu
here=$(dirname "$(readlink -f "$0")")
build_dir=$1
cc=$2

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
prefix=$temp/prefix

cmake --install "$build_dir" --prefix "$prefix"
cp -r "$here/app" "$temp"
cd "$temp"

runs() {	# PROGRAM static|shared
	"$1"
	case $2:$(ldd "$1") in
	shared:*"$prefix"* | static:*) ;;
	*) false ;;
	esac
	echo "ok $1"
}

echo "== find_package"
cmake -S app -B build -D CMAKE_C_COMPILER="$cc" -D CMAKE_PREFIX_PATH="$prefix"
cmake --build build
runs build/app static
runs build/app_static static
runs build/app_shared shared

echo "== pkg-config"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name xylem.pc)")
export PKG_CONFIG_PATH
lib_dir=$(pkg-config --variable=libdir xylem)
# shellcheck disable=SC2046	# flags are words
"$cc" -o app_shared app/app.c $(pkg-config --cflags --libs xylem) -Wl,-rpath,"$lib_dir"
runs ./app_shared shared
rm "$lib_dir"/libxylem.so*
# shellcheck disable=SC2046
"$cc" -o app_static app/app.c $(pkg-config --static --cflags --libs xylem)
runs ./app_static static
