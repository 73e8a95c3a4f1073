#!/usr/bin/perl

# A declared copy of Dubbo's framing passes the tests of multiplexing that the
# built-in codec passes.

use strict;
use warnings;

use FindBin;
use Test::More;

my $dir = $FindBin::Bin;

local $ENV{TEST_MESH_PASS} = 'dubbo-copy';
local $ENV{TEST_MESH_DECLARE} = "include $dir/protocols/dubbo-copy.conf;";

for my $test (qw(proxy_ids proxy_split proxy_gone proxy_pressure)) {
    my $output = qx($^X $dir/$test.t 2>&1);

    is($?, 0, "$test.t with a declared copy");
    diag($output) if $?;
    like($output, qr/^ok 1 /m, '... and it tests something');
}

done_testing();
