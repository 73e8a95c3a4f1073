#!/usr/bin/perl

# Providers of Dubbo 3.3 that register in Consul come, drain and die
# under a consumer, one of 2.7.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Fleet;

Interop::Fleet::life('33', '27', 'consul');
