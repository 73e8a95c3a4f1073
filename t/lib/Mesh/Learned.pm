package Mesh::Learned;

# What nginx has learned from a registry, in tests of one.
#
#   my $t = Mesh::Test->new;
#   $t->write_conf(learn_conf('consul ' . $f->url, service => $name));
#   ...
#   learned($t, $name)        "127.0.0.1:20880=100 127.0.0.1:20881=100"
#   until_learned($t, $name, 2)

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;

use Mesh::Api;
use Mesh::Test qw(wait_for);

our @EXPORT = qw(learn_conf learned until_learned dubbo errors_of);

our $wait = 10;


# learn_conf(what follows "registry", service => name or names that are listed,
# mesh => "more of mesh {}", main => ...)

sub learn_conf {
    my ($registry, %o) = @_;

    my $services = join "\n    ", map { "service $_ protocol=dubbo { }" }
                   ref $o{service} ? @{ $o{service} } : $o{service} // ();
    my $discovery = $registry =~ /discovery=/ ? '' : 'discovery=listed';

    my $conf = api_conf(%o, service => '', mesh => "state_path %%DIR%%/state;\n"
                                    . "registry $registry $discovery;\n"
                                    . "$services\n" . ($o{mesh} // ''));

    # nobody calls here
    $conf =~ s/service demo.Echo \{\s*\}//;

    return $conf;
}


# an instance as Dubbo registers it, for Mesh::FaultHTTP: what instance() takes

sub dubbo {
    my ($f, $service, $port, %o) = @_;

    my ($name, $version) = split /:/, $service;
    my $at = $o{at} // "127.0.0.1:$port";
    my $more = join '', map { "&$_" } $version ? "version=$version" : (),
                                      $o{query} // ();

    return $f->instance("$name-$port", $port, tags => ['dubbo'], %o,
        meta => { url => "dubbo://$at/$name?side=provider$more",
                  %{ $o{meta} // {} } });
}


# "address:port=weight" of each endpoint that gets calls, in order; with all =>
# 1 "!" before those that get none and "?" before suspects

sub learned {
    my ($t, $service, %o) = @_;

    my $r = api($t, 'GET', 'services/' . enc($service)
                           . '/endpoints?limit=1000');
    my @all;

    return '' if $r->{status} != 200;

    for (@{ $r->{json}{items} }) {
        my $serves = $_->{status}{serving} && !$_->{spec}{down}
                     && $_->{spec}{weight} && !$_->{status}{draining};

        next if !$serves && !$o{all};
        push @all, ($serves ? '' : '!')
                   . ($o{all} && $_->{status}{suspect} ? '?' : '')
                   . "$_->{metadata}{name}=$_->{spec}{weight}";
    }

    # each registry that has it says so by itself
    my %all = map { $_ => 1 } @all;

    return join ' ', sort keys %all;
}


# waits for so many, or for that text; the last that was seen

sub until_learned {
    my ($t, $service, $what, $seconds) = @_;

    my $seen = '';

    wait_for {
        $seen = learned($t, $service);
        $what =~ /^\d+$/ ? split(/ /, $seen) == $what : $seen eq $what;
    } $seconds // $wait;

    return $seen;
}


# what was logged about the registry since the last time

sub errors_of {
    my ($t) = @_;

    my $log = $t->log;
    my $from = $t->{errors_of} // 0;

    $t->{errors_of} = length $log;

    return grep { /mesh registry/ && /\[(error|notice|warn)\]/ }
           split /\n/, substr $log, $from;
}


1;
