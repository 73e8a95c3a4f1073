#!/usr/bin/perl

# Every conf/*.conf is complete and accepted by nginx -t.  Only places are
# changed: modules come from build/, files go into the test's directory.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new;
my @conf = sort glob($t->root . '/conf/*.conf');

ok(@conf >= 3, 'there are configurations');

for my $path (@conf) {
    my $name = basename($path);
    my $text = $t->read_file($path);

    unlike($text, qr/\t|[ ]$|^.{81}/m, "$name: no tabs, no long lines");

    my @missing = grep { $text !~ m{^load_module modules/$_;$}m }
                  needs($text);
    is("@missing", '', "$name: loads what it uses");

    # load_module lines come from the harness, in the order of conf/
    $text =~ s/^load_module .*\n//mg;
    $text =~ s/^pid .*\n//mg;
    $text =~ s/^error_log .*\n//mg;
    $text =~ s{/var/log/nginx}{%%DIR%%}g;

    # "daemon" belongs to who starts it
    unlike($text, qr/^\s*daemon\s/m, "$name: says nothing about daemon");

    my ($status, $said) = $t->check_conf($text);

    is($status, 0, "$name: nginx -t accepts it");
    unlike($said, qr/\[warn\]/, "$name: without warnings");
    diag($said) if $status;
}

# the demo's files are all inside its prefix

my $demo = $t->read_file($t->root . '/conf/demo.conf');
unlike($demo =~ s/#.*//gr, qr{\s/(?!metrics)}, 'demo.conf: no absolute path');

$t->done;


sub needs {
    my ($text) = @_;

    return map { "${_}_module.so" } 'ngx_mesh',
        $text =~ /^stream\s*\{/m ? qw(ngx_stream ngx_mesh_stream) : (),
        $text =~ /^http\s*\{/m ? 'ngx_mesh_http' : ();
}
