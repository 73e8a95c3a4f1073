#!/usr/bin/perl

# Parameters of "registry consul".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new;


# check(what follows "registry consul"): the first [emerg], or "ok"

sub check {
    my ($registry) = @_;

    my ($code, $out) = $t->check_conf("mesh {\nzone mesh:4m metrics=128k;\n"
        . "state_path %%DIR%%/state;\nregistry consul $registry;\n}\n");

    return $code == 0 ? 'ok'
        : $out =~ /\[emerg\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$/m ? $1 : $out;
}

sub accepted { is(check($_[0]), 'ok', $_[0]) }
sub refused  { is(check($_[0]), $_[1], "refused: $_[0]") }
sub invalid  { refused("http://127.0.0.1 $_[0]", "invalid value \"$_[0]\" in "
                       . "\"registry\" directive, it must be $_[1]") }

my $url = 'http://127.0.0.1:8500';

accepted($_) for $url, "$url/", 'http://[::1]', 'https://127.0.0.1:8501',
                 'unix:/run/consul.sock', 'https://127.0.0.1 ssl_verify=off';
accepted("$url $_") for 'token_file=/nowhere/token', 'wait=1s', 'wait=10m',
                        'stale=200ms', 'stale=off', 'datacenter=east',
                        'datacenter=a/b&c namespace=n partition=p';

refused("$url/v1", 'invalid URL in "registry consul", it must end before '
        . '"/v1"');
refused('http://u:secret@127.0.0.1:8500', 'invalid URL "...@127.0.0.1:8500" '
        . 'in "registry consul", it must not have a user, use "token_file="');
refused("$url token=secret", 'invalid parameter "token=" in "registry", a '
        . 'token must be in a file: "token_file="');

invalid('token_file=', 'a path');
invalid($_, 'a time from "1s" to "10m"') for 'wait=999ms', 'wait=11m',
                                             'wait=x', 'wait=';
invalid($_, 'a time as "200ms", or "off"') for 'stale=on', 'stale=0';
invalid($_, 'followed by a name') for 'datacenter=', 'namespace=',
                                      'partition=';

refused("$url datacenter=a datacenter=b", 'invalid value "datacenter=b" in '
        . '"registry" directive, it must be given once');

$t->done;
