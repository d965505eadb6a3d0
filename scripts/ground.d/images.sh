# shellcheck shell=bash
images_missing() { :; }
images_up() { :; }
images_describe() { :; }
images_clean() { :; }
