#!/usr/bin/perl

# README.md's guide "Dubbo with Consul" does what it says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Guide;

Interop::Guide::dubbo('Dubbo with Consul', 'consul');
