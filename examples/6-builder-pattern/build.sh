#!/bin/sh
set -e

echo Building example/href-counter:build
slipway build -f Dockerfile.build --build-arg https_proxy=$https_proxy --build-arg http_proxy=$http_proxy \
  -t example/href-counter:build .

slipway container create --name extract example/href-counter:build
slipway container cp extract:/go/src/github.com/example/href-counter/app ./app
slipway container rm -f extract

echo Building example/href-counter:latest
slipway build --no-cache -t example/href-counter:latest .
rm ./app
