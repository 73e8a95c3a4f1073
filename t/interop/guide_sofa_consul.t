#!/usr/bin/perl

# README.md's guide "SOFARPC with Consul" does what it says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Guide;

Interop::Guide::sofa('SOFARPC with Consul');
